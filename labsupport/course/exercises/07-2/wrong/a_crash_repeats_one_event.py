# a crash repeats one event -> processed again when it was redelivered
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"] and sheet["twice"] == sheet["crashes"]:
        return "no memory"
    return "not finished" if sheet["lag"] else "no bug"
