.PHONY: record-reviews
record-reviews: ## write tests/fixtures/reviews anew, from a real API server
	PULLPASS_RECORD_REVIEWS=1 $(CARGO) test --locked --features demo --test apiserver recorded_reviews
