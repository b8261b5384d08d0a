# an error loses one event -> though no process died
def which_bug(sheet):
    if sheet["lost"] == 1 and not sheet["crashes"]:
        return "skips errors"
    if sheet["lost"]:
        return "commits first"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["lag"] else "no bug"
