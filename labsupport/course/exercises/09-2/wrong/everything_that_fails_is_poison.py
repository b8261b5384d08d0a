# everything that fails is poison -> This is 'unknown'
def whose_fault(attempts):
    return "poison"
