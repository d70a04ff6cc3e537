//! The closed JWS profile of sandbox and extension tokens: mint, parse, verify, JWK Set
