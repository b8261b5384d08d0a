# after a crash there is always a bug -> each event took effect once
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    if sheet["waiting"] or sheet["lag"]:
        return "not finished"
    return "no memory" if sheet["crashes"] else "no bug"
