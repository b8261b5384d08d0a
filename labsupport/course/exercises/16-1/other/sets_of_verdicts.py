def judge_again(order, limit):
    if "amount" in order:
        verdicts = {order["amount"] > limit}
    elif "limit" not in order:
        verdicts = {True, False}
    elif order["risky"]:
        verdicts = {each > limit for each in (order["limit"] + 1, 10**9)}
    else:
        verdicts = {each > limit for each in (1, order["limit"])}
    (verdict,) = verdicts if len(verdicts) == 1 else (None,)
    return verdict
