"""The generation recurrence: controller, inferred input, generator, factors. See README.md here."""
