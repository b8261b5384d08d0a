# rounding repairs it -> a binary float cannot be
def total(values):
    return round(sum(json.loads(v)["payload"]["amount"] for v in values), 2)
