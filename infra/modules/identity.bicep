// The app's own identity. User-assigned, so that its rights outlive the app and can be given first.

@description('Name of the identity.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Name of the identity.')
output name string = identity.name

@description('Object id, to which roles are assigned.')
output principalId string = identity.properties.principalId
