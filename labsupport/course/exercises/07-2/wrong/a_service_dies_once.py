# a service dies once -> crashes = 2
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] == 1 else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["lag"] else "no bug"
