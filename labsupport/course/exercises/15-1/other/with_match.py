def way(interaction):
    match interaction:
        case "mail" | "price" | "report" | "fraud":
            return "tell"
        case _:
            return "ask"
