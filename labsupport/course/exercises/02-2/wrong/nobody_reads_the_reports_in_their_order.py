# nobody reads the reports in their order -> This ReportGenerated has no key
def key_of(event):
    for field in ("order_id", "auction_id"):
        if field in event.payload:
            return event.payload[field].encode()
