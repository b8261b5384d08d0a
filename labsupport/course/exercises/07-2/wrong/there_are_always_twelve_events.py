# there are always twelve events -> each event took effect once
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["processed"] != 12 or sheet["lag"] else "no bug"
