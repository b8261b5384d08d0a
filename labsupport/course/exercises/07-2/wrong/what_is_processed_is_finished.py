# what is processed is finished -> records that are not committed
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["waiting"] else "no bug"
