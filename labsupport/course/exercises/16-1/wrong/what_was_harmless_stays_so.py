# what was harmless stays so -> both have this event
def judge_again(order, limit):
    if "amount" in order:
        return order["amount"] > limit
    if "limit" not in order:
        return None
    if not order["risky"]:
        return False
    return True if limit <= order["limit"] else None
