def which_bug(sheet):
    match sheet:
        case {"lost": n, "crashes": 0} if n:
            return "skips errors"
        case {"lost": n} if n:
            return "commits first"
        case {"twice": n} if n:
            return "no memory"
    return "no bug" if sheet["lag"] == 0 else "not finished"
