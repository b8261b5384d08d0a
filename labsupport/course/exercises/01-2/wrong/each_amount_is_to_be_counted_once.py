# each amount is to be counted once -> even if two have the same amount
def total(values):
    return sum({json.loads(v, parse_float=Decimal)["payload"]["amount"] for v in values})
