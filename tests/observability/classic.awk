# OpenMetrics as the older text format, which is all that `promtool check metrics` reads.
/^# HELP / { help = $0; next }
/^# TYPE / {
    name = to = $3
    type = $4
    if (type == "counter") to = name "_total"
    if (type == "info") { to = name "_info"; type = "gauge" }
    sub("^# HELP " name, "# HELP " to, help)
    print help
    print "# TYPE " to " " type
    next
}
/^# (UNIT|EOF)/ { next }
{ print }
