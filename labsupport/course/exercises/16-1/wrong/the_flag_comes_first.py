# the flag comes first -> The amount is known
def judge_again(order, limit):
    if "limit" in order:
        if order["risky"]:
            return True if limit <= order["limit"] else None
        return False if limit >= order["limit"] else None
    return order["amount"] > limit if "amount" in order else None
