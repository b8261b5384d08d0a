# every event has a limit -> KeyError
def judge_again(order, limit):
    if "amount" in order:
        return order["amount"] > limit
    if order["risky"]:
        return True if limit <= order["limit"] else None
    return False if limit >= order["limit"] else None
