//! As much of JSON Schema 2020-12 as the documented schemas use, and an error for any more. The gateway's tests use it
//! too.

use serde_json::Value;

/// The schema that `schema` refers to, or itself.
pub(crate) fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#')) {
        Some(place) => root.pointer(place).unwrap_or(&Value::Null),
        None => schema,
    }
}

/// Whether `value` is what `schema` describes; why not, if it is not.
pub(crate) fn validate(schema: &Value, root: &Value, value: &Value) -> Result<(), String> {
    let keywords = schema.as_object().ok_or_else(|| format!("not a schema: {schema}"))?;
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "required" | "additionalProperties" => {
                true
            }
            "$ref" => {
                validate(resolve(schema, root), root, value)?;
                true
            }
            "const" => value == rule,
            "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
            "oneOf" => alternatives(rule, root, value) == 1,
            "type" => match rule.as_array() {
                Some(types) => types.iter().any(|rule| has_type(rule, value)),
                None => has_type(rule, value),
            },
            "minimum" => value.is_null() || value.as_u64() >= rule.as_u64(),
            "maximum" => value.is_null() || value.as_u64() <= rule.as_u64(),
            "maxLength" => length(value.as_str().map(|text| text.chars().count())) <= rule.as_u64(),
            "minItems" => length(value.as_array().map(Vec::len)) >= rule.as_u64(),
            "maxItems" => length(value.as_array().map(Vec::len)) <= rule.as_u64(),
            "pattern" => matches(rule.as_str().unwrap_or_default(), value.as_str().unwrap_or_default())?,
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| validate(rule, root, item))?;
                true
            }
            "properties" => {
                members(schema, root, value)?;
                true
            }
            other => return Err(format!("keyword {other} is not understood")),
        };
        if !holds {
            return Err(format!("{keyword} {rule} does not hold of {value}"));
        }
    }
    Ok(())
}

fn length(length: Option<usize>) -> Option<u64> {
    length.and_then(|length| length.try_into().ok())
}

fn alternatives(rule: &Value, root: &Value, value: &Value) -> usize {
    rule.as_array().into_iter().flatten().filter(|one| validate(one, root, value).is_ok()).count()
}

fn has_type(rule: &Value, value: &Value) -> bool {
    match rule.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

fn members(schema: &Value, root: &Value, value: &Value) -> Result<(), String> {
    let Some(found) = value.as_object() else {
        return Ok(());
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !found.contains_key(*name)) {
        return Err(format!("{missing} is missing"));
    }
    for (name, member) in found {
        match schema["properties"].get(name) {
            Some(described) => {
                validate(described, root, member).map_err(|why| format!("{name}: {why}"))?;
            }
            None if schema["additionalProperties"] == false => return Err(format!("{name} is unknown")),
            None if schema["additionalProperties"].is_object() => {
                validate(&schema["additionalProperties"], root, member)
                    .map_err(|why| format!("{name}: {why}"))?;
            }
            None => {}
        }
    }
    Ok(())
}

/// The patterns that the schemas use.
fn matches(pattern: &str, text: &str) -> Result<bool, String> {
    match pattern {
        "^[!-~]{1,128}$" => {
            Ok((1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()))
        }
        "^[0-9a-f]{64}$" => {
            Ok(text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        }
        "^[A-Za-z0-9_-]{43}$" => Ok(text.len() == 43
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))),
        other => Err(format!("pattern {other} is not understood")),
    }
}
