"""Money and stock are conserved: nothing appears, nothing disappears. Checked, with the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.errors import LabError

__all__ = ["PRICE", "Books", "NotConserved", "require_sum"]

PRICE = 10
"""What the one thing that this shop sells costs."""


class NotConserved(LabError):
    """Money or stock appeared, disappeared, or is with the wrong one."""


def require_sum(what: str, amounts: Mapping[str, int], wanted: int) -> None:
    """Raise ``NotConserved``, with the numbers, unless these amounts make up what there was at the start."""
    told = " + ".join(f"{name} {amount}" for name, amount in amounts.items())
    if sum(amounts.values()) != wanted:
        raise NotConserved(f"{what}: {told} = {sum(amounts.values())}, and it should be {wanted}.")


@dataclass(frozen=True, slots=True)
class Books:
    """What the programs have at one moment, and what there was at the start: ``stock`` and ``money``.

    Stock counts things, money counts coins, ``completed`` counts orders.
    """

    stock: int
    money: int
    free: int
    reserved: int
    sold: int
    customer: int
    held: int
    shop: int
    shipped: int
    completed: int

    def check(self) -> None:
        """Raise ``NotConserved`` unless money and stock are all there. True at every moment."""
        stock = {"free": self.free, "reserved": self.reserved, "sold": self.sold}
        money = {"customer": self.customer, "held": self.held, "shop": self.shop}
        require_sum("Stock", stock, self.stock)
        require_sum("Money", money, self.money)
        for name, amount in {**stock, **money}.items():
            if amount < 0:
                raise NotConserved(f"There are {amount} of {name!r}: something was taken twice.")

    def check_at_rest(self) -> None:
        """Raise ``NotConserved`` unless, with no order on its way, everybody has what is theirs.

        Nothing is reserved or held any more, and each completed order was paid, sold and shipped once.
        """
        self.check()
        whole = (0, 0, PRICE * self.completed, self.completed, self.completed)
        if (self.reserved, self.held, self.shop, self.sold, self.shipped) != whole:
            raise NotConserved(
                f"Orders completed at {PRICE} coins: {self.completed}. But reserved: {self.reserved},"
                f" held: {self.held} coins, the shop: {self.shop} coins, sold: {self.sold},"
                f" shipped: {self.shipped}."
            )

    def verdict(self) -> str:
        """Return "conserved", or what ``check_at_rest`` says."""
        try:
            self.check_at_rest()
        except NotConserved as error:
            return error.what
        return "conserved"
