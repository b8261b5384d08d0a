# what the flag tells need not be computed -> The amount is known
def judge_again(order, limit):
    if "limit" in order and "risky" in order:
        if order["risky"] and limit <= order["limit"]:
            return True
        if not order["risky"] and limit >= order["limit"]:
            return False
    return order["amount"] > limit if "amount" in order else None
