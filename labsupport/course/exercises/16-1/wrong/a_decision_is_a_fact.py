# a decision is a fact -> by another limit
def judge_again(order, limit):
    return order["amount"] > limit if "amount" in order else order["risky"]
