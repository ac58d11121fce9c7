"""The scale at which a network sees a micrograph: stated, or found from the micrograph itself."""
