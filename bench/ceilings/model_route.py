"""An ordinary FastAPI route with a model, which calls nothing, on uvicorn as it comes.

What the plain way costs before there is anything behind it. Runs as a process: `python -m bench.ceilings.model_route`.
"""

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel

from bench.answers import EACH_INDEX, LAST_INT64_INDEX, fibonacci
from bench.ceilings import MODEL_ROUTE
from bench.ceilings.http_process import run_app

_NUMBERS = tuple(map(fibonacci, EACH_INDEX))

app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})


class Number(BaseModel):
    n: int
    x: int
    value: str


@app.get("/fib")
async def get_fibonacci(n: Annotated[int, Query(ge=0, le=LAST_INT64_INDEX)]) -> Number:
    return Number(n=n, x=_NUMBERS[n], value=str(_NUMBERS[n]))


if __name__ == "__main__":
    run_app(MODEL_ROUTE, app)
