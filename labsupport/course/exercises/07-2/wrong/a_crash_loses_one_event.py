# a crash loses one event -> because a process died in between
def which_bug(sheet):
    if sheet["lost"] > sheet["crashes"]:
        return "skips errors"
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["lag"] else "no bug"
