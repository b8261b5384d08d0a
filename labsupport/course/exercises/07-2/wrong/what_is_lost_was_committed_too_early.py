# what is lost was committed too early -> though no process died
def which_bug(sheet):
    if sheet["lost"]:
        return "commits first"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["waiting"] or sheet["lag"] else "no bug"
