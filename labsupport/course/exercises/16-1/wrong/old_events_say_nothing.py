# old events say nothing -> every order with this event
def judge_again(order, limit):
    return order["amount"] > limit if "amount" in order else None
