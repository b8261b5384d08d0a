# floats are good enough -> a binary float cannot be
def total(values):
    return sum(json.loads(v)["payload"]["amount"] for v in values)
