"""The goods on sale: forty products with fixed prices."""

from __future__ import annotations

NOUNS = ("kettle", "lamp", "chair", "clock", "radio", "mirror", "basket", "shelf")
MATERIALS = ("oak", "steel", "glass", "linen", "copper")
PRODUCTS: dict[str, tuple[str, float]] = {
    f"p{index:02d}": (
        f"{MATERIALS[index % len(MATERIALS)]} {NOUNS[index % len(NOUNS)]}",
        round(9.9 + 7.35 * (index % 13), 2),
    )
    for index in range(40)
}
