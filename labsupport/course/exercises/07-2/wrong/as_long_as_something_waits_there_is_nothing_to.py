# as long as something waits there is nothing to say -> because a process died in between
def which_bug(sheet):
    if sheet["waiting"]:
        return "not finished"
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["lag"] else "no bug"
