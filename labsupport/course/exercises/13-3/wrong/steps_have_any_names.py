# steps have any names -> is no step
def plan(producers, consumers):
    return ["write both names", "upgrade the consumers", "write the new name"]
