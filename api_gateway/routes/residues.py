"""GET /fib/residue: the last digits of astronomically large numbers."""

from typing import Annotated

from fastapi import APIRouter, Query

from api_gateway.clients import FibonacciClient
from api_gateway.queries import ResidueQuery
from api_gateway.schemas import Residue


def residue_routes(client: FibonacciClient) -> APIRouter:
    router = APIRouter(tags=["fibonacci"])

    @router.get("/fib/residue")
    async def get_residue(query: Annotated[ResidueQuery, Query()]) -> Residue:
        """F(n) modulo a number, for indices far beyond those that can be written out."""
        return Residue(n=query.n, modulus=query.modulus, residue=await client.residue(query.n, query.modulus))

    return router
