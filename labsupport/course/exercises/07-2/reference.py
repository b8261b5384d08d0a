def which_bug(sheet):
    """'commits first', 'no memory', 'skips errors', 'not finished' or 'no bug'."""
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["lag"] else "no bug"
