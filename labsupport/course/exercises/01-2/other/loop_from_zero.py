def total(values):
    amount = Decimal("0.00")
    for value in values:
        event = json.loads(value.decode(), parse_float=Decimal, parse_int=Decimal)
        amount += event["payload"]["amount"]
    return amount
