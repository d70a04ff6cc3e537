module keystile.invalid/e2e/tools/pause

go 1.24
