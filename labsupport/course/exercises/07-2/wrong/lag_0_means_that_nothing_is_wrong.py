# lag 0 means that nothing is wrong -> committed and not processed
def which_bug(sheet):
    if not sheet["lag"]:
        return "no bug"
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished"
