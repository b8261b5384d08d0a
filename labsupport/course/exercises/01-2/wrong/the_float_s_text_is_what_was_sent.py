# the float's text is what was sent -> an amount became a binary float
def total(values):
    return sum((Decimal(str(json.loads(v)["payload"]["amount"])) for v in values), Decimal(0))
