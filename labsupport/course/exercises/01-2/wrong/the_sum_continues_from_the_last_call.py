# the sum continues from the last call -> every payment counts once
def total(values, amounts=[]):
    amounts += [json.loads(v, parse_float=Decimal)["payload"]["amount"] for v in values]
    return sum(amounts)
