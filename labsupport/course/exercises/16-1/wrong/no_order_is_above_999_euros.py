# no order is above 999 euros -> every order with this event amounts to more than
def judge_again(order, limit):
    if "amount" in order:
        return order["amount"] > limit
    amounts = range(1, 1000)
    if "limit" in order:
        amounts = [each for each in amounts if (each > order["limit"]) == order["risky"]]
    verdicts = {each > limit for each in amounts}
    return verdicts.pop() if len(verdicts) == 1 else None
