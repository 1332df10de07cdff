"""GET /fib/residue: the last digits of astronomically large numbers."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.queries import ResidueQuery
from api_gateway.representations import CACHE_CONTROL
from api_gateway.schemas import Residue


def residue_routes(client: FibonacciClient) -> APIRouter:
    router = APIRouter(tags=["fibonacci"])

    @router.get("/fib/residue")
    async def get_residue(query: Annotated[ResidueQuery, Query()], response: Response) -> Residue:
        """F(n) modulo a number, for indices far beyond those that can be written out."""
        residue = await client.residue(query.n, query.modulus)
        response.headers["Cache-Control"] = CACHE_CONTROL  # it changes no more than its number does
        return Residue(n=query.n, modulus=query.modulus, residue=residue)

    return router
