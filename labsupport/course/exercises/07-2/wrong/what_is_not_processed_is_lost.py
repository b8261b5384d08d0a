# what is not processed is lost -> nothing is lost
def which_bug(sheet):
    if sheet["processed"] < sheet["produced"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "no bug"
