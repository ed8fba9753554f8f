"""A forum with one category."""

import django

django.setup()

from spirit.category.models import Category  # noqa: E402

Category.objects.create(title="Lanterns", slug="lanterns")
