# the same limit tells nothing -> every order with this event
def judge_again(order, limit):
    if "amount" in order:
        return order["amount"] > limit
    if "limit" not in order:
        return None
    if order["risky"]:
        return True if limit < order["limit"] else None
    return False if limit > order["limit"] else None
