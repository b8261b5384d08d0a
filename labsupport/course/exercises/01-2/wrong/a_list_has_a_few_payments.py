# a list has a few payments -> every payment counts once
def total(values):
    return sum(json.loads(v, parse_float=Decimal)["payload"]["amount"] for v in values[:20])
