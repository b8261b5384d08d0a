# a Decimal made of a float is exact -> an amount became a binary float
def total(values):
    return sum((Decimal(json.loads(v)["payload"]["amount"]) for v in values), Decimal(0))
