# what is missing is 0 -> the event has no amount
def judge_again(order, limit):
    return order.get("amount", 0) > limit
