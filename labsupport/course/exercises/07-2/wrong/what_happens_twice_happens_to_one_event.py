# what happens twice happens to one event -> twice = 2
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"] == 1:
        return "no memory"
    return "not finished" if sheet["lag"] else "no bug"
