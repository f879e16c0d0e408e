"""The benchmark: what the lab's own layer costs over each raw client, in turns, in one run.

cell.py      what is measured: a broker's kind of channel, an operation, a payload size
stage.py     where one contestant works: its connections, its own channel name, what it received
kind.py      one kind of channel, with what every contestant of it finds prepared
cases/       a file a broker: the raw client, ours and FastStream side by side
measure.py   one cell: rounds in alternating order, and what was received in each
ratios.py    medians of ratios, and whether they meet the targets
run.py       all cells on real brokers
report.py    the table; picture.py the picture; results.py the JSON file
"""
