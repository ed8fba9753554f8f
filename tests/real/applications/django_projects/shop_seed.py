"""A catalogue of one lantern."""

from decimal import Decimal

import django

django.setup()

from oscar.apps.address.models import Country  # noqa: E402
from oscar.apps.catalogue.categories import create_from_breadcrumbs  # noqa: E402
from oscar.apps.catalogue.models import Product, ProductCategory, ProductClass  # noqa: E402
from oscar.apps.partner.models import Partner, StockRecord  # noqa: E402

Country.objects.create(
    iso_3166_1_a2="GB", iso_3166_1_a3="GBR", iso_3166_1_numeric="826", printable_name="United Kingdom",
    name="United Kingdom", is_shipping_country=True,
)
lights = ProductClass.objects.create(name="Lights")
lantern = Product.objects.create(product_class=lights, title="Lantern", slug="lantern", description="For a porch.")
ProductCategory.objects.create(product=lantern, category=create_from_breadcrumbs("Porch"))
StockRecord.objects.create(
    product=lantern, partner=Partner.objects.create(name="House"), partner_sku="lantern", price=Decimal("9.99"),
    num_in_stock=1000,
)
