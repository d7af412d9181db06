"""Three nodes behind a balancer, under load, while something is done to them; then the history is judged.

make torture                        all scenarios, and a table in the end
make torture SCENARIO=node-frozen   one of them
python -m tests.torture --help
"""
