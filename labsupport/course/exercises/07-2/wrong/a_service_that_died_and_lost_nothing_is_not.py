# a service that died and lost nothing is not finished -> crashes = 1
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    if sheet["crashes"]:
        return "no bug"
    return "not finished" if sheet["lag"] else "no bug"
