"""Every call in a database: what was spent, by model and by tenant, to the last digit; and the calls as a file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Ledger
from glassway.middlewares.ledger import Asked, calls, database_of, export, spending
from glassway.providers import Simulated

with TemporaryDirectory() as folder:
    place = f"{folder}/ledger.db"  # or postgresql://...
    with Client(Pipeline([Ledger(place, keep_days=90), Cost()], providers=[Simulated()])) as client:
        replies = [
            client.chat(f"simulated/{model}", "What is the capital of Norway?", tenant=tenant)
            for model in ("gpt-sim", "gpt-sim-mini")
            for tenant in ("acme", "globex", "acme")
        ]
    # the client is closed, so everything is written; `glassway costs --ledger FILE` prints the same

    database = database_of(place)
    for line in spending(database, by=("model", "tenant")):
        print(f"{' '.join(line.group)}: {line.calls} calls, ${line.cost_usd:f}")
    [acme] = spending(database, Asked(tenant="acme"), by=())
    print(
        "the ledger's sum is the replies' sum:", spending(database, by=())[0].cost_usd == sum(r.cost for r in replies)
    )
    print(f"acme: {acme.calls} calls, {acme.prompt_tokens} tokens in, {acme.completion_tokens} out")
    print("exported:", export(calls(database), Path(folder, "calls.parquet")), "calls")
    database.close()
